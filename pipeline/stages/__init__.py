"""What a command does: one module per command, with one public function that returns a result and writes it as JSON."""
