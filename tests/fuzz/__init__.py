"""Everything that reads what others wrote, given what nobody would write: `targets` says what, `guided` how.

``corpus/<target>`` holds the inputs that once did harm, and some of each shape to begin with.
"""
