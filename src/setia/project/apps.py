"""Start-up: the features are installed before anything asks for them."""

from django.apps import AppConfig


class ProjectConfig(AppConfig):
    """Installs the features once all tables are known."""

    name = "setia.project"

    def ready(self) -> None:
        from setia.outbox import jobs
        from setia.project import features

        assert features.FEATURES
        jobs.register()
