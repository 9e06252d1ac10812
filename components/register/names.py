"""Names inside a registered model, shared by what packs it and what runs in it."""

from __future__ import annotations

BUNDLE = "bundle"
"""Artifact folder with the frozen parts and the adapter."""
ADAPTER = "adapter.safetensors"
"""The trained part inside it."""
