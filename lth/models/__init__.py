"""Networks with stock state_dict keys, built by ``build``, and the one LightningModule that trains them, ``Classifier``."""
