from .audit import Audit
from .site_audit import audit_first_site

__all__ = [
    "Audit",
    "audit_first_site",
]
