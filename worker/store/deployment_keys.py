"""The keys of the deployment's processes."""

from worker.store.key_pattern import DAY, LEADS, MINUTE, WORKERS, Key, lease, led, mark, moderated

EPOCH = Key("lw:epoch", "hash", "epoch by which a loss of Redis's state is detected", "one", read_by=LEADS)
SEED = Key("lw:seed", "string", "secret for drawing the times of samples", "one", read_by=WORKERS)
SWEPT = Key("lw:swept", "string", "position of the search for keys without a life", "a number", read_by=WORKERS)
POLICIES = Key("lw:policies", "hash", "active policy of each process", "live processes")
POLICY_RECORDED = Key("lw:policies:recorded", "string", "policy that the audit log says is in force", "one")
POLICIES_UNMET = Key(
    "lw:policies:unmet:{version}",
    "set",
    "names that rules of a policy use and nothing provides, as published",
    "250 rules' names",
    seconds=30 * DAY,
)
POLICIES_REFUSING = Key("lw:policies:refusing", "hash", "policy file that each worker refuses", "live workers")
STUCK = mark("lw:stuck:{model}", "a model is skipped", seconds=5 * MINUTE)
REDIS_ROOM = Key("lw:redis:room", "hash", "published state of Redis's memory", "three fields")
PRESENT = led("lw:present:{role}s", "zset", "processes by their newest sign of life", "processes of the last hour")
PRESENT_SIGN = Key("lw:present:{role}:{process}", "string", "a process's sign of life", "one", seconds=MINUTE)
WORKER_IDLE_END = lease("lw:present:end", "ending a worker that asks for no work")
ONCE = moderated("lw:once:{call}", "string", "the answer of a call that may be sent again", "one", seconds=2 * MINUTE)
DOCTOR_PROBE = Key("lw:doctor:{probe}", "string", "whether `doctor` can write", "one", seconds=MINUTE)
