"""The queue's own tables are no business of the administration.

django-q registers them, and a schedule there names any function to call: whoever could edit one could run anything.
Its task records hold pickles, which must not be opened from a page.
"""

from django.contrib import admin
from django_q.models import Failure, OrmQ, Schedule, Success

for model in (Failure, OrmQ, Schedule, Success):
    if admin.site.is_registered(model):
        admin.site.unregister(model)
