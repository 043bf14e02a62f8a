"""Settings: what somebody configured. Each is the whole new state, on `cfg.<noun>.<key>`."""

from __future__ import annotations

from typing import TypeAlias

from shared.messages.settings.accounts import (
    ApiKeySetting,
    UserSetting,
)
from shared.messages.settings.commands import (
    CommandSetting,
)
from shared.messages.settings.notifications import (
    ChannelSetting,
    RuleSetting,
    TemplateSetting,
)
from shared.messages.settings.objectives import (
    ObjectiveSetting,
)
from shared.messages.settings.platform import (
    ClaimSetting,
    PlatformSetting,
    SettingRemoved,
)
from shared.messages.settings.schedules import (
    BlackoutSetting,
    PolicySetting,
    ScheduleSetting,
)
from shared.messages.settings.servers import (
    DatabaseSetting,
    GroupSetting,
    ServerSetting,
)
from shared.messages.settings.stores import (
    StoreSetting,
)

AnySetting: TypeAlias = (
    PlatformSetting
    | UserSetting
    | ApiKeySetting
    | ServerSetting
    | StoreSetting
    | GroupSetting
    | PolicySetting
    | ScheduleSetting
    | BlackoutSetting
    | ObjectiveSetting
    | DatabaseSetting
    | CommandSetting
    | ChannelSetting
    | RuleSetting
    | TemplateSetting
    | ClaimSetting
    | SettingRemoved
)
