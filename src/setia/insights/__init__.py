"""What the programme earns: columns over the record, read and never written. The KPIs of the console."""
