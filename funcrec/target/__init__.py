"""Read a Go executable: no root, no bcc, nothing runs."""
