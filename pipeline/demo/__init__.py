"""All that simulates: the demonstration's archives, diseases and anatomies, and the toy squares."""
