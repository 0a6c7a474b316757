"""Bodies of the Triton Python models that student and teacher share; they run inside Triton's Python-backend stubs."""
