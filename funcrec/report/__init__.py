"""The offline side: events to calls, filters, summaries."""
