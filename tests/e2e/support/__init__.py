"""What the end-to-end tests are made of: real Envoy, recording servers, a byte-exact replayer, real SDK programs."""
