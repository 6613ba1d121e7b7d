"""The measurements of Setia: `make bench`, or one of them with `make bench ONLY=name`. See docs/benchmarks.md."""
