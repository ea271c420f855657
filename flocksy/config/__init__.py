"""Configuration: two file formats and a command line become one frozen `NodeSettings`.

`settings` holds the result (plain frozen dataclasses, cheap to import and to send to a spawned
process), `load` makes it, `edit` adds and removes boxes in a configuration file.
"""
