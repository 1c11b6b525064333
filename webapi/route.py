"""Where the API is; it stands alone, so that whoever refuses something can name an address."""

from typing import Final

AUDIT_LOG: Final = "/api/organization/rbac/members/audit-log"
ACTIONS: Final = f"{AUDIT_LOG}/actions"
