coverage.py
{"totals": {"covered_lines": 3, "num_statements": 4}}