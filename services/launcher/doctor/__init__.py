"""`holdfast doctor`: what is wrong with this installation, and what mends it."""

from services.launcher.doctor.examination import examined
from services.launcher.doctor.findings import Finding, Level, is_well

__all__ = ["Finding", "Level", "examined", "is_well"]
