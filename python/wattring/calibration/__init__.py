"""How a GPU's power sensors behave, measured with a load that is switched on and off.

The method is that of Z. Yang, K. Adamek and W. Armour, "Part-time Power Measurements: nvidia-smi's
Lack of Attention" (arXiv 2312.02741): steps and square waves of a known load, as the sensor shows
them. docs/calibration.md describes it.
"""
