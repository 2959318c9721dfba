"""A cache that is plain, slow and easily seen to be right: what the decisions are compared with.

It is told what answers and requests mean rather than reading it from header fields, counts in whole seconds, and
keeps every answer as it came.
"""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Meaning:
    """What an answer says. `age` is how old it is when it comes; `version` is its strong entity tag."""

    version: int
    max_age: int | None = None
    s_maxage: int | None = None
    no_cache: bool = False
    no_store: bool = False
    private: bool = False
    public: bool = False
    must_revalidate: bool = False
    while_revalidate: int = 0
    if_error: int = 0
    varies: bool = False
    tagged: bool = True
    age: int = 0

    def lines(self, date: bytes) -> list[bytes]:
        """As header lines."""
        seconds = {
            "max-age": self.max_age,
            "s-maxage": self.s_maxage,
            "stale-while-revalidate": self.while_revalidate or None,
            "stale-if-error": self.if_error or None,
        }
        flags = {
            "no-cache": self.no_cache,
            "no-store": self.no_store,
            "private": self.private,
            "public": self.public,
            "must-revalidate": self.must_revalidate,
        }
        said = [f"{name}={value}" for name, value in seconds.items() if value is not None]
        said += [name for name, holds in flags.items() if holds]
        lines = [b"Date: " + date, b"Cache-Control: " + ", ".join(said).encode()]
        lines += [b"Vary: X-Region"] if self.varies else []
        lines += [b'ETag: "%d"' % self.version] if self.tagged else []
        return lines + ([b"Age: %d" % self.age] if self.age else [])


@dataclass(frozen=True)
class Wish:
    """What a request says."""

    region: str | None = None
    authorized: bool = False
    max_age: int | None = None
    min_fresh: int = 0
    max_stale: int | None = None
    no_cache: bool = False
    no_store: bool = False
    only_if_cached: bool = False
    known_version: int | None = None  # If-None-Match

    def lines(self) -> list[bytes]:
        """As header lines."""
        seconds = {"max-age": self.max_age, "min-fresh": self.min_fresh or None, "max-stale": self.max_stale}
        flags = {"no-cache": self.no_cache, "no-store": self.no_store, "only-if-cached": self.only_if_cached}
        said = [f"{name}={value}" for name, value in seconds.items() if value is not None]
        said += [name for name, holds in flags.items() if holds]
        lines = [b"Cache-Control: " + ", ".join(said).encode()] if said else []
        lines += [b"X-Region: " + self.region.encode()] if self.region is not None else []
        lines += [b"Authorization: x"] if self.authorized else []
        return lines + (
            [b'If-None-Match: "%d"' % self.known_version] if self.known_version is not None else []
        )


@dataclass(frozen=True)
class Kept:
    """An answer as it is kept."""

    meaning: Meaning
    region: str | None
    at: int
    age_then: int

    def age(self, now: int) -> int:
        return self.age_then + now - self.at


@dataclass(frozen=True)
class Verdict:
    """`action` as `outcomes.Action` names it; of what is served or validated, the version and its age."""

    action: str
    version: int | None = None
    age: int | None = None
    not_modified: bool = False


class PlainCache:
    """The answers of one target."""

    def __init__(self, *, shared: bool) -> None:
        self.shared = shared
        self.kept: list[Kept] = []

    def verdict(self, wish: Wish, now: int) -> Verdict:
        kept = self.chosen(wish)
        if kept is None:
            return Verdict("unavailable" if wish.only_if_cached else "forward")
        version, age = kept.meaning.version, kept.age(now)
        same = kept.meaning.tagged and wish.known_version == version
        if self._may_be_used(kept, wish, now):
            return Verdict("serve", version, age, same)
        if self._may_be_used_while_revalidated(kept, wish, now):
            return Verdict("serve_stale_and_revalidate", version, age, same)
        if wish.only_if_cached:
            return Verdict("unavailable")
        return Verdict("validate", version) if kept.meaning.tagged else Verdict("forward")

    def chosen(self, wish: Wish) -> Kept | None:
        some_vary = any(kept.meaning.varies for kept in self.kept)
        fitting = [
            kept
            for kept in self.kept
            if (kept.meaning.varies and kept.region == wish.region)
            or (not kept.meaning.varies and not some_vary)
        ]
        # Date is the time of arrival without the age.
        return max(fitting, key=lambda kept: (kept.at - kept.meaning.age, kept.at), default=None)

    def lifetime(self, meaning: Meaning) -> int:
        if self.shared and meaning.s_maxage is not None:
            return meaning.s_maxage
        return meaning.max_age or 0

    def _forbids_stale(self, meaning: Meaning) -> bool:
        if meaning.no_cache or meaning.must_revalidate:
            return True
        return self.shared and meaning.s_maxage is not None

    def _may_be_used(self, kept: Kept, wish: Wish, now: int) -> bool:
        if kept.meaning.no_cache or wish.no_cache:
            return False
        age, lifetime = kept.age(now), self.lifetime(kept.meaning)
        if wish.max_age is not None and age > wish.max_age:
            return False
        if age < lifetime:
            return lifetime - age >= wish.min_fresh
        if self._forbids_stale(kept.meaning) or wish.max_stale is None or wish.min_fresh:
            return False
        return age - lifetime <= wish.max_stale

    def _may_be_used_while_revalidated(self, kept: Kept, wish: Wish, now: int) -> bool:
        if self._forbids_stale(kept.meaning) or wish.no_cache or wish.max_age is not None or wish.min_fresh:
            return False
        lifetime = self.lifetime(kept.meaning)
        return lifetime <= kept.age(now) < lifetime + kept.meaning.while_revalidate

    def may_replace_error(self, kept: Kept, wish: Wish, now: int) -> bool:
        if self._forbids_stale(kept.meaning) or wish.no_cache:
            # An answer that is still fresh needs no permission, but for no-cache, which is never fresh.
            return (
                not kept.meaning.no_cache
                and not wish.no_cache
                and kept.age(now) < self.lifetime(kept.meaning)
            )
        return kept.age(now) < self.lifetime(kept.meaning) + kept.meaning.if_error

    def may_be_kept(self, meaning: Meaning, wish: Wish) -> bool:
        if meaning.no_store or wish.no_store:
            return False
        if self.shared and meaning.private:
            return False
        if self.shared and wish.authorized:
            allowed = meaning.public or meaning.must_revalidate or meaning.s_maxage is not None
            if not allowed:
                return False
        return meaning.tagged or self.lifetime(meaning) > 0

    def keep(self, meaning: Meaning, wish: Wish, now: int, delay: int) -> bool:
        """Keep an answer that came now, if it may be kept; whether it was."""
        if not self.may_be_kept(meaning, wish):
            return False
        new = Kept(meaning, wish.region if meaning.varies else None, now, meaning.age + delay)
        like = [
            kept for kept in self.kept if (kept.meaning.varies, kept.region) == (meaning.varies, new.region)
        ]
        self.kept = [kept for kept in self.kept if kept not in like] + [new]
        return True

    def confirm(self, meaning: Meaning, wish: Wish, now: int) -> None:
        """Bring up to date what a 304 speaks of, or drop it where it may not be kept any longer."""
        before = [
            kept for kept in self.kept if kept.meaning.tagged and kept.meaning.version == meaning.version
        ]
        for kept in before:
            mine = not kept.meaning.varies or kept.region == wish.region
            may_be_kept = self.may_be_kept(meaning, replace(wish, no_store=False))
            may_be_kept = may_be_kept and (mine or kept.meaning.varies == meaning.varies)
            if may_be_kept and wish.no_store:
                continue  # as it was: nothing of this answer is kept
            self.kept = [one for one in self.kept if one is not kept]
            if may_be_kept:
                region = (wish.region if mine else kept.region) if meaning.varies else None
                # One that did not vary until now may have become like another: one of two alike is kept.
                self.kept = [
                    one for one in self.kept if (one.meaning.varies, one.region) != (meaning.varies, region)
                ]
                self.kept.append(Kept(meaning, region, now, meaning.age))
