"""Physics of one crossbar: what a device does to a conductance, a read, a write.

Knows tensors, explicit generators and the time `now`; knows nothing of networks or of learning.
"""

from device_models.cells import Cells
from device_models.column_adc import ColumnADC, ColumnErrors
from device_models.compose import preset_names
from device_models.converters import ADC, DAC, vector_gain
from device_models.costs import Costs, Operations
from device_models.device import Device
from device_models.drive import Exposure
from device_models.errors import ProfileError
from device_models.outer_product import per_chip_uniform
from device_models.profile import DeviceProfile, load_profile
from device_models.read_noise import ReadNoise
from device_models.slices import Slices
from device_models.spectrum import Relaxation
from device_models.unit_noise import UnitNoise

__all__ = [
    "ADC",
    "DAC",
    "Cells",
    "ColumnADC",
    "ColumnErrors",
    "Costs",
    "Device",
    "DeviceProfile",
    "Exposure",
    "Operations",
    "ProfileError",
    "ReadNoise",
    "Relaxation",
    "Slices",
    "UnitNoise",
    "load_profile",
    "per_chip_uniform",
    "preset_names",
    "vector_gain",
]
