"""Jobs: what is to be done as typed records, and the driver that any number of threads share."""
