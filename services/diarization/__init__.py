"""Who speaks when: segmentation and embedding models, one clustering per stream."""
