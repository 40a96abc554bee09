"""Networks, bundles and peers compared in one interleaved run on this machine."""
