"""Which videos there are: records, data-set adapters, splits and the audit."""
