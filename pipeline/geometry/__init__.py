"""Where voxels lie: affines, the bridge to ITK, registration, diffeomorphisms, scan space."""
