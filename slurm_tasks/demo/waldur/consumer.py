"""The consumers' side: customers, projects, people and the orders that they place."""

from collections.abc import Mapping

from slurm_tasks.demo.waldur import offering_users, orders
from slurm_tasks.demo.waldur.database import Database
from slurm_tasks.demo.waldur.records import OfferingUserState, Order, OrderState, Resource
from slurm_tasks.demo.waldur.values import Customer, Project, Role, User, new_uuid


class Consumer:
    """What happens in Waldur's pages rather than through the provider's API."""

    def __init__(self, db: Database) -> None:
        self._db = db

    def add_customer(self, name: str) -> Customer:
        """Add an organisation."""
        customer = Customer(new_uuid(), name)
        self._db.customers[customer.uuid] = customer
        return customer

    def add_project(self, customer: Customer, name: str) -> Project:
        """Add a project without members."""
        project = Project(new_uuid(), name)
        self._db.projects[project.uuid] = project
        self._db.customer_of[project.uuid] = customer
        self._db.members[project.uuid] = []
        return project

    def move_project(self, project: Project, customer: Customer) -> None:
        """Give a project to another customer."""
        self._db.customer_of[project.uuid] = customer

    def move_resource(self, resource: Resource, project: Project) -> None:
        """Give a resource to another project, as staff may."""
        resource.project_uuid = project.uuid

    def add_user(self, username: str, full_name: str | None, role: Role) -> User:
        """Add a person."""
        name = full_name or f"{username.replace('.', ' ').title()}"
        return self._db.add_user(username, name, role)

    def add_member(self, project: Project, user: User) -> None:
        """Make a person a member of a project."""
        offering_users.join(self._db, project.uuid, user)

    def remove_member(self, project: Project, user: User) -> None:
        """End a membership."""
        offering_users.leave(self._db, project.uuid, user)

    def set_username(self, user: User, username: str) -> None:
        """Set the username of a person's offering user, which is made if need be."""
        offering_user = self._db.offering_user_of(user) or offering_users.add(self._db, user)
        offering_users.rename(self._db, offering_user, username)
        if username:
            offering_user.state = OfferingUserState.OK

    def set_offering_user_state(self, user: User, state: str) -> None:
        """Set the state of a person's offering user, which is made if need be."""
        offering_user = self._db.offering_user_of(user) or offering_users.add(self._db, user)
        offering_user.state = OfferingUserState(state)
        offering_user.modified = self._db.now()

    def set_restricted(self, user: User, *, restricted: bool) -> None:
        """Suspend a person's access to the offering, or give it back."""
        offering_user = self._db.offering_user_of(user) or offering_users.add(self._db, user)
        offering_user.is_restricted = restricted
        offering_user.modified = self._db.now()

    def order_create(
        self, project: Project, name: str | None, limits: Mapping[str, int], state: str
    ) -> Order:
        """Order a new allocation."""
        return orders.place_create(
            self._db,
            project_uuid=project.uuid,
            attributes={} if name is None else {"name": name},
            limits=dict(limits),
            created_by=self._owner(),
            state=OrderState(state),
        )

    def order_update(self, resource_uuid: str, limits: Mapping[str, int], state: str) -> Order:
        """Order other limits."""
        return orders.place_update(
            self._db,
            self._db.resource(resource_uuid),
            dict(limits),
            created_by=self._owner(),
            state=OrderState(state),
        )

    def order_terminate(self, resource_uuid: str, state: str) -> Order:
        """Order the end of an allocation."""
        return orders.place_terminate(
            self._db,
            self._db.resource(resource_uuid),
            {},
            created_by=self._owner(),
            state=OrderState(state),
        )

    def order_restore(self, resource_uuid: str, state: str) -> Order:
        """Order a terminated allocation back."""
        return orders.place_restore(
            self._db,
            self._db.resource(resource_uuid),
            created_by=self._owner(),
            state=OrderState(state),
        )

    def _owner(self) -> User:
        return self._db.user_with_role(Role.CUSTOMER)
