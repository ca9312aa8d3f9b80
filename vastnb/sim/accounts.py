"""Accounts of the simulated service: who they are, and what they have spent on what."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from vastnb.sim.noise import mix

FIRST_SSH_KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAISIMULATED simulated@example.invalid"
"""A public key that leads nowhere."""

FIRST_CREDIT = 25.0
"""What a simulated user has to spend, $."""


def key_for(seed: int, number: int = 0) -> str:
    """Return the API key of a simulated account.

    It is 64 characters long like a real one, says what it is, and is the same for a seed.
    """
    digits = "".join(f"{mix(seed, number, part):016x}" for part in range(4))
    return ("simulated" + digits)[:64]


@dataclass
class Account:
    """A simulated user.

    Parameters
    ----------
    key : str
        API key.
    user_id : int
        As the service would number it.
    credit : float
        $ left to spend; runs below zero a little, as the real one does.
    created : float
        World time, epoch seconds.
    """

    key: str
    user_id: int
    credit: float = FIRST_CREDIT
    created: float = 0.0
    spent: float = 0.0
    ssh_keys: list[dict[str, Any]] = field(default_factory=list)

    def add_ssh_key(self, text: str, created_at: str) -> dict[str, Any]:
        """Add a public key, and return its record."""
        key = {
            "id": 5000 + len(self.ssh_keys),
            "user_id": self.user_id,
            "public_key": text,
            "created_at": created_at,
            "deleted_at": None,
        }
        self.ssh_keys.append(key)
        return key

    @property
    def identity(self) -> str:
        """What limits and quotas go by."""
        return f"user-{self.user_id}"

    def pay(self, dollars: float) -> None:
        """Take money from the credit."""
        self.credit -= dollars
        self.spent += dollars

    def record(self) -> dict[str, Any]:
        """Return the user as ``/users/current/`` shows it (the key is left out there too)."""
        return {
            "id": self.user_id,
            "key_id": self.user_id + 7,
            "email": f"simulated-{self.user_id}@example.invalid",
            "email_verified": True,
            "username": f"simulated-{self.user_id}",
            "fullname": "A Simulated User",
            "balance": 0.0,
            "credit": self.credit,
            "balance_threshold": 0.0,
            "balance_threshold_enabled": False,
            "autobill_threshold": None,
            "billaddress_city": None,
            "billaddress_country": None,
            "billaddress_line1": None,
            "billaddress_line2": None,
            "billaddress_zip": None,
            "billed_expected": self.spent,
            "billed_verified": self.spent,
            "billing_creditonly": 1,
            "can_pay": self.credit > 0,
            "got_signup_credit": 0,
            "has_billing": True,
            "has_payout": False,
            "last4": None,
            "paid_expected": 0.0,
            "paid_verified": 0.0,
            "password_resettable": True,
            "paypal_email": None,
            "ssh_key": self.ssh_keys[-1]["public_key"] if self.ssh_keys else "",
            "sid": "simulated",
            "user": None,
            "simulated": True,
        }


__all__ = ["FIRST_CREDIT", "FIRST_SSH_KEY", "Account", "key_for"]
