"""The requests of the fuzz test: how often each kind is sent."""

from __future__ import annotations

import random
from collections.abc import Callable

from fuzz_avatars import make_avatar_removal, make_avatar_upload
from fuzz_cases import Case
from fuzz_edits import make_merge, make_patch
from fuzz_full_app import (
    make_account_removal,
    make_disallowed_method,
    make_read,
    make_token_for_any_method,
)
from fuzz_messages import (
    make_broken_body,
    make_headers,
    make_media_type,
    make_method,
    make_mutated_head,
    make_random_bytes,
    make_raw_request,
)
from fuzz_tokens import (
    make_csrf_form,
    make_hostile_token,
    make_identity,
    make_mutated_token,
    make_signed_token,
    make_token_body,
)

REQUEST_KINDS: dict[Callable[[random.Random], Case], int] = {
    make_hostile_token: 30,
    make_mutated_token: 15,
    make_signed_token: 10,
    make_identity: 15,
    make_method: 5,
    make_media_type: 4,
    make_token_body: 8,
    make_broken_body: 1,
    make_csrf_form: 3,
    make_headers: 8,
    make_raw_request: 4,
    make_mutated_head: 4,
    make_random_bytes: 1,
    make_read: 8,
    make_token_for_any_method: 10,
    make_disallowed_method: 2,
    make_patch: 12,
    make_merge: 4,
    make_avatar_upload: 8,
    make_avatar_removal: 2,
    make_account_removal: 2,
}


def make_requests(rng: random.Random, number: int) -> list[Case]:
    """Return requests that can be sent one after the other over one connection."""
    kinds = rng.choices([*REQUEST_KINDS], [*REQUEST_KINDS.values()], k=number)
    cases = [make(rng) for make in kinds]
    cases.sort(key=Case.is_last)
    return cases[: 1 + sum(not case.is_last() for case in cases)]
