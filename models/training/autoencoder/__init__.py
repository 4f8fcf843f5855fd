"""Training auto-encoders (`models.vae`) on a folder of photos, by the loop that trains detectors.

photos ─ model's input ─ view of 64 pixels ─► auto-encoder ─► `export novelty --autoencoder`
"""
