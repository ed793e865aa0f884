#!/bin/sh
# Brings the compiled models to where this container may write, then becomes the program it was given.
set -eu
if [ -d /opt/plumbline/numba ] && [ ! -d "$NUMBA_CACHE_DIR" ]; then
  cp -r /opt/plumbline/numba "$NUMBA_CACHE_DIR"
fi
exec "$@"
