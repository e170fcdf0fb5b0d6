"""What clients were told beside what the audit chains say: each change counted in both, and the chains replayed into the
records that must be there. Knows events only; asks nobody.
"""

from collections import Counter

import gateway

PREFIX = "prefect-cloud."
# The field of a kind that bears the mark of a change: a name, where no other is said.
FIELDS = {
    "account-domain-names": "domain_names",
    "account-invitation": "email",
    "account-settings": "managed_execution_limit_seconds",
    "support-access": "reason",
    "workspace-access": "bot_id",
    "workspace-invitation": "email",
    "workspace-settings": "default_result_storage_block_id",
}
# Made and ended along with another record: with its owner, or under the same id.
ALONG = {
    ("service-account", "account-membership"): True,
    ("service-account", "api-key"): True,
    ("workspace", "workspace-settings"): False,
}
WATCHED = {
    *FIELDS,
    *("account-membership", "account-role", "api-key", "automation", "incident", "service-account", "team"),
    *("webhook", "workspace", "workspace-role"),
}
ACTIONS = {"created", "updated", "deleted", "rotated", "transferred-out", "transferred-in"}


def field(kind):
    return FIELDS.get(kind, "name")


def key(kind, action, mark):
    """What an event is counted by: the mark it bears."""
    return kind, action, gateway.strict(mark)


class Told:
    """An audit event, as far as it is counted."""

    def __init__(self, event):
        self.kind, _, self.action = event["event"].removeprefix(PREFIX).rpartition(".")
        self.record = event["resource"]["prefect.resource.id"].rpartition(".")[2]
        self.payload = event["payload"]
        owners = [one for one in event["related"] if one["prefect.resource.role"] == "service-account"]
        self.owner = owners[0]["prefect.resource.id"].rpartition(".")[2] if owners else None

    def is_watched(self):
        return self.kind in WATCHED and self.action in ACTIONS

    def key(self):
        """By its mark, or by whom it is of."""
        if self.action == "created":
            return key(self.kind, self.action, self.payload[field(self.kind)])
        step = self.payload.get("updates", {}).get(field(self.kind))
        if self.action == "updated" and step:
            return key(self.kind, self.action, step["to"])
        of_owner = self.kind in ("api-key", "account-membership") and self.owner
        return self.kind, self.action, self.owner if of_owner else self.record


class Ledger:
    """The changes of all clients, and the chains' events, those left out that were there before the first change."""

    def __init__(self, histories, chains, first):
        self.changes = [change for history in histories for change in history]
        events = [Told(row["event"]) for row in chains]
        self.told = [told for told in events if told.is_watched()]
        new = [Told(row["event"]) for row in chains if row["id"] not in first]
        self.new = [told for told in new if told.is_watched()]
        # What is made along with something that has no name says nothing of which change it was: `apart` looks at it.
        self.counts = Counter(told.key() for told in self.new if (told.kind, told.action) != ("workspace-settings", "created"))
        self.states, self.owners, self.broken = {}, {}, []
        for told in self.told:
            self.replay(told)

    def count(self, change):
        """How many events tell a change, the first of its keys."""
        return self.counts[change.keys[0]]

    def wrong(self):
        """What is told more or less often than it was done."""
        low, high = Counter(), Counter()
        for change in self.changes:
            for one in change.keys:
                low[one] += change.is_done()
                high[one] += change.is_done() or change.status is None
        every = sorted({*self.counts, *low})
        return [(one, low[one], self.counts[one], high[one]) for one in every if not low[one] <= self.counts[one] <= high[one]]

    def halves(self):
        """Changes without an answer of which some events are there, and others are not."""
        open_ones = [change.keys for change in self.changes if change.status is None]
        return [keys for keys in open_ones if len({self.counts[one] for one in keys}) > 1]

    def apart(self):
        """Records that are made and ended together, where one was and the other was not."""
        found = []
        for (kind, other), owned in ALONG.items():
            for action in ("created", "deleted"):
                ids = {told.record for told in self.new if (told.kind, told.action) == (kind, action)}
                with_them = [told for told in self.new if (told.kind, told.action) == (other, action)]
                theirs = {told.owner if owned else told.record for told in with_them} - {None}
                found += [(kind, other, action, one) for one in ids ^ theirs]
        return found

    def replay(self, told):
        """One event further: it must go on from what its record was."""
        at = (told.kind, told.record)
        state, payload = self.states.get(at, {}), told.payload
        if told.kind == "api-key":
            self.owners.setdefault(told.record, payload.get("owner_id", told.owner))
        if told.action == "created" and at not in self.states:
            self.states[at] = dict(payload)
        elif told.action == "rotated":
            for other, known in self.states.items():
                if other[0] == "api-key" and known and known.get("owner_id") == told.owner:
                    self.states[other] = None
            self.states[at] = {"owner_id": told.owner, "expiration": payload["expiration"]}
        elif not state:
            self.broken.append((told.kind, told.action, told.record, "is no record"))
        elif told.action == "updated":
            for name, step in payload.get("updates", {}).items():
                if state.get(name) != step["from"]:
                    self.broken.append((told.kind, told.record, name, state.get(name), step))
                state[name] = step["to"]
        elif told.action == "transferred-in":
            state["handle"] = payload["new_handle"]
        elif told.action == "deleted":
            # What becomes of an invitation is told by the action alone.
            differing = [name for name in state if name != "status" and state[name] != payload.get(name)]
            if differing:
                self.broken.append((told.kind, told.record, "ended otherwise", differing))
            self.states[at] = None

    def knows(self, kind, record):
        return (kind, record) in self.states

    def is_of(self, one, owner):
        """Whether a key is, or was, somebody's."""
        return self.owners.get(one) == owner

    def moved(self):
        """The workspaces that moved to the other account."""
        return {told.record for told in self.told if told.action == "transferred-in"}
