"""Run a file: in a child process under limits of time and memory."""
