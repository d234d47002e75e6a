"""Tables for people: one style for every command, fitted to the width of the terminal.

No cell is cut. Where the width does not hold all columns, the least important ones are left out, and named below the
table. An id that is too long for its column has a line of its own; a text is folded inside its column; and where even
the important columns do not fit, each record becomes lines of names and values.

Foreign texts are data: markup in them is not interpreted, and invisible characters are escaped.
"""
