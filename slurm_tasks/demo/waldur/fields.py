"""The fields that answers of this simulator have, of either generation.

A `field` that is not among them is refused: no server has been seen to answer it, nor does the
schema know it.
"""


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


USAGE = _names(
    """
    uuid created description type name measured_unit usage date recurring resource_name
    resource_uuid offering_name offering_uuid project_name project_uuid customer_name
    customer_uuid billing_period modified_by
    """
)
USER_USAGE = _names(
    """
    uuid user username component_usage usage measured_unit description created modified
    backend_id resource_name resource_uuid offering_name offering_uuid project_name
    project_uuid customer_name customer_uuid component_type date billing_period
    """
)
ORDER = _names(
    """
    offering_terms_of_service offering offering_name offering_uuid offering_description
    offering_image offering_thumbnail offering_type offering_shared offering_billable
    offering_plugin_options provider_name provider_uuid category_title category_uuid
    category_icon plan plan_unit plan_name plan_uuid plan_description attributes limits uuid
    created modified type resource_uuid resource_type resource_name cost state output
    marketplace_resource_uuid error_message callback_url consumer_reviewed_at
    consumer_reviewed_by consumer_reviewed_by_full_name provider_reviewed_at
    provider_reviewed_by provider_reviewed_by_full_name created_by_full_name
    created_by_civil_number customer_name customer_uuid customer_slug project_name
    project_uuid project_description project_slug old_cost_estimate new_cost_estimate
    can_terminate fixed_price activation_price termination_comment backend_id issue
    new_plan_name new_plan_uuid provider_slug consumer_reviewed_by_username
    provider_reviewed_by_username url slug error_traceback completed_at start_date
    request_comment attachment order_subtype old_plan_name old_plan_uuid consumer_message
    provider_message provider_message_url consumer_rejection_comment
    provider_rejection_comment created_by_username created_by_email
    """
)
RESOURCE = _names(
    """
    offering_terms_of_service offering offering_name offering_uuid offering_description
    offering_image offering_thumbnail offering_type offering_shared offering_billable
    offering_plugin_options provider_name provider_uuid category_title category_uuid
    category_icon plan plan_unit plan_name plan_uuid plan_description attributes limits uuid
    created modified url scope description state resource_uuid resource_type backend_id
    effective_id project project_uuid project_name project_description project_end_date
    project_end_date_requested_by customer_uuid customer_name backend_metadata
    is_usage_based is_limit_based name slug current_usages can_terminate report end_date
    end_date_requested_by username limit_usage downscaled restrict_member_access paused
    endpoints error_message error_traceback options available_actions order_in_progress
    creation_order offering_customer_uuid provider_slug offering_slug offering_state
    offering_backend_id project_slug customer_slug last_sync offering_components
    renewal_date user_requires_reconsent
    """
)
OFFERING_USER = _names(
    """
    url uuid user offering username offering_uuid offering_name user_uuid user_username
    user_full_name created modified customer_uuid customer_name is_restricted
    propagation_date user_email state service_provider_comment service_provider_comment_url
    has_consent requires_reconsent has_compliance_checklist consent_data
    """
)
USER = _names(
    """
    url uuid username slug full_name native_name job_title email phone_number organization
    civil_number description is_staff is_active is_support token token_lifetime
    registration_method date_joined agreement_date preferred_language permissions
    requested_email affiliations first_name last_name identity_provider_name
    identity_provider_label identity_provider_management_url identity_provider_fields image
    identity_source
    """
)
TEAM_MEMBER = _names(
    """
    url uuid username full_name email role expiration_time offering_user_username
    offering_user_state
    """
)
OFFERING = _names(
    """
    url uuid created name slug description full_description terms_of_service
    terms_of_service_link privacy_policy_link endpoints roles customer customer_uuid
    customer_name project category category_uuid category_title rating attributes options
    resource_options components plugin_options secret_options service_attributes state
    native_name native_description vendor_details getting_started integration_guide
    thumbnail order_count plans screenshots type shared billable scope files paused_reason
    datacite_doi citation_count latitude longitude country backend_id organization_groups
    image total_customers total_cost total_cost_estimated backend_metadata
    integration_status google_calendar_is_public google_calendar_link
    """
)
ALLOCATION = _names(
    """
    url uuid name description service_name service_settings service_settings_uuid
    service_settings_state service_settings_error_message project project_name project_uuid
    customer customer_name customer_native_name customer_abbreviation error_message
    error_traceback resource_type state created modified backend_id access_url cpu_limit
    cpu_usage gpu_limit gpu_usage ram_limit ram_usage username gateway is_active
    marketplace_offering_uuid marketplace_offering_name marketplace_offering_plugin_options
    marketplace_category_uuid marketplace_category_name marketplace_resource_uuid
    marketplace_plan_uuid marketplace_resource_state is_usage_based is_limit_based
    """
)
PROJECT = _names(
    """
    url uuid name slug customer customer_uuid customer_name customer_slug
    customer_native_name customer_abbreviation description created type backend_id
    start_date end_date end_date_requested_by oecd_fos_2007_code oecd_fos_2007_label
    is_industry image resources_count billing_price_estimate marketplace_resource_count
    """
)
INTEGRATION_STATUS = _names(
    """
    status last_request_timestamp offering url
    """
)
SERVICE_PROVIDER = _names(
    """
    url uuid created description enable_notifications customer customer_name customer_uuid
    customer_image customer_abbreviation customer_native_name customer_country image
    organization_group organization_groups offering_count
    """
)
PROJECT_PERMISSION = _names(
    """
    role created expiration_time created_by created_by_full_name created_by_username project
    project_uuid project_name project_created project_end_date customer_uuid customer_name
    user user_full_name user_native_name user_username user_uuid user_email role_name
    """
)
