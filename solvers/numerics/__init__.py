"""What all compiled code stands on: jit options, addressed noise, elementary and phi functions."""
