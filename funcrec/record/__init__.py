"""The live side: compile, attach, drain, write."""
