"""The public names of :mod:`pluginserver.testing`, and where each of them is: the one list of them."""

from .gateway import Gateway as Gateway
from .kong.clock import Clock as Clock
from .kong.faults import Fault as Fault
from .kong.faults import Faults as Faults
from .kong.headers import Headers as Headers
from .kong.messages import TLS as TLS
from .kong.messages import Request as Request
from .kong.messages import Response as Response
from .kong.messages import ServiceRequest as ServiceRequest
from .kong.messages import make_request as make_request
from .kong.phases import HandshakeFailed as HandshakeFailed
from .kong.quirks import Quirks as Quirks
from .kong.router import Binding as Binding
from .kong.router import Entity as Entity
from .kong.upstream import FakeUpstream as FakeUpstream
from .record.diagnostics import PluginBug as PluginBug
from .record.exchange import Callback as Callback
from .record.exchange import Change as Change
from .record.exchange import Exchange as Exchange
from .record.exchange import LogLine as LogLine
from .record.exchange import Problem as Problem
from .record.exchange import Run as Run
from .record.transcript import transcript as transcript
from .transports.base import GatewayError as GatewayError
from .transports.inprocess import InProcess as InProcess
from .transports.plugins import PluginWarning as PluginWarning
