"""What goes wrong on purpose: the record under a model, a crowd, kills and cuts. `make faults` prints one line a figure."""
