"""Tables for people: one style for every command, fit to the width of the terminal.

Nothing is ever cut. Where the width does not hold all columns, the least important ones are left out, and named below
the table. An id that is too long for its column stands on a line of its own; a text is folded inside its column; and
where not even the columns that matter have room, each record stands as lines of names and values.

Texts of others are data: no markup is read in them, and what is no visible character is escaped.
"""
