"""A linear classifier on the features of a trained network: trained in seconds, on a processor.

photos or crops ─ network without its class layer ─► features ─ scikit-learn ─► a class layer
        │                                                             ▲
        └─ HOG (`skimage.feature`) ─► the baseline beside it ─────────┘

What comes out is the network's own class layer, whatever the kind of classifier, so that it is
exported and served as any other (Girshick et al., "Rich feature hierarchies for accurate object
detection and semantic segmentation", arXiv 1311.2524, section 2.3; Donahue et al., "DeCAF",
arXiv 1310.1531).
"""
