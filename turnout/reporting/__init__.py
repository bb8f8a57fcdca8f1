"""What people are told of a run, and that they are told once.

`turnout.reporting.deliver.report` is the way in. The texts (`view`, `slack_blocks`, `email_text`) are pure; the
channels (`slack_channel`, `email_channel`) decide what is still to be told and keep the record of what was.
"""
