"""The hash bank: named lists of known material, searched exactly and changed within seconds."""
