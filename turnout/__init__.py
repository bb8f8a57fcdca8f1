"""Event-driven, rule-driven CI/CD: the library that the functions and the agents share."""
