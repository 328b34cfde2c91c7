"""People and their roles, in the admin."""

from typing import Any

from django.contrib import admin
from django.contrib.auth.admin import UserAdmin as DjangoUserAdmin
from django.contrib.auth.forms import AdminPasswordChangeForm, UserCreationForm
from django.contrib.auth.models import Group
from django.db.models import ForeignKey, QuerySet
from django.forms import ModelChoiceField
from django.http import HttpRequest

from apps.accounts.models import ApiToken, Membership, User

if admin.site.is_registered(Group):  # roles are of datasets, and memberships say them
    admin.site.unregister(Group)


class NewUserForm(UserCreationForm[User]):
    """A name and a password: there is no other way to sign in."""

    class Meta(UserCreationForm.Meta):
        model = User


class NewPasswordForm(AdminPasswordChangeForm):  # type: ignore[type-arg]  # its class takes none when it runs
    """A password; not that there be none."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields.pop("usable_password", None)


class MembershipInline(admin.TabularInline[Membership, User]):
    model = Membership
    extra = 0

    def get_queryset(self, request: HttpRequest) -> QuerySet[Membership]:
        return super().get_queryset(request).select_related("user", "dataset")

    def formfield_for_foreignkey(
        self, db_field: ForeignKey[Any, Any], request: HttpRequest, **kwargs: Any
    ) -> ModelChoiceField[Any] | None:
        """The choices are read once, not once for each row."""
        field = super().formfield_for_foreignkey(db_field, request, **kwargs)
        if field is not None:
            field.choices = list(field.iterator(field))
        return field


@admin.register(User)
class UserAdmin(DjangoUserAdmin[User]):
    inlines = [MembershipInline]
    add_form = NewUserForm
    change_password_form = NewPasswordForm
    add_fieldsets = [(None, {"classes": ["wide"], "fields": ["username", "password1", "password2"]})]
    fieldsets = [
        (None, {"fields": ["username", "password"]}),
        ("Personal info", {"fields": ["first_name", "last_name", "email"]}),
        ("Permissions", {"fields": ["is_active", "is_staff", "is_superuser", "user_permissions"]}),
        ("Important dates", {"fields": ["last_login", "date_joined"]}),
    ]
    list_filter = ["is_staff", "is_superuser", "is_active"]
    filter_horizontal = ["user_permissions"]
    list_display = ["username", "first_name", "last_name", "is_active", "is_staff", "is_superuser", "last_login"]
    date_hierarchy = "date_joined"


@admin.register(Membership)
class MembershipAdmin(admin.ModelAdmin[Membership]):
    list_display = ["user", "dataset", "role"]
    list_filter = ["role"]
    list_select_related = ["user", "dataset"]
    search_fields = ["user__username", "dataset__name"]
    autocomplete_fields = ["user"]


@admin.register(ApiToken)
class ApiTokenAdmin(admin.ModelAdmin[ApiToken]):
    """For looking; people make their tokens themselves, and the secret is kept nowhere."""

    list_display = ["name", "prefix", "user", "scopes", "created_at", "expires_at", "last_used_at", "revoked_at"]
    list_filter = [("revoked_at", admin.EmptyFieldListFilter), ("expires_at", admin.EmptyFieldListFilter)]
    list_select_related = ["user"]
    search_fields = ["name", "prefix", "user__username"]
    readonly_fields = ["user", "name", "prefix", "scopes", "created_at", "expires_at", "last_used_at", "revoked_at"]
    exclude = ["secret_sha256"]

    def has_add_permission(self, request: object) -> bool:
        return False
