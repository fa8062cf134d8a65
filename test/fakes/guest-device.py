# Put in front of the script that asks a guest's device: the system calls answer as the kernel's drivers do (sev-guest.c,
# tdx_guest.c), by the structures at the addresses that they are given. The behaviour is a JSON text in the environment of the
# test, given here as the first argument.
import base64, ctypes, errno, fcntl, json, os, socket, struct, sys

wanted = json.loads(sys.argv.pop(1))
opened = {}
log = []

def fake_open(path, flags):
    if path not in wanted.get('devices', {}):
        raise FileNotFoundError(errno.ENOENT, 'no such device', path)
    descriptor = 1000 + len(opened)
    opened[descriptor] = wanted['devices'][path]
    return descriptor

def fail(name):
    raise OSError(getattr(errno, name), name)

def fake_ioctl(descriptor, command, argument, mutate):
    device = opened[descriptor]
    assert mutate is True and isinstance(argument, bytearray)
    size, kind, number = (command >> 16) & 0x3fff, chr((command >> 8) & 0xff), command & 0xff
    assert command >> 30 == 3 and len(argument) == size, (hex(command), len(argument))
    name = {('S', 0): 'report', ('S', 2): 'extended', ('T', 1): 'tdx'}[(kind, number)]
    if name in device.get('fail', {}):
        fail(device['fail'][name])
    if name == 'tdx':
        assert size == 64 + 1024
        report = bytearray(1024)
        report[128:192] = argument[:64]
        argument[64:] = report
        return 0
    version, request, response, information = struct.unpack('<B7xQQQ', argument)
    assert size == 32 and version == 1 and information == 0
    data, vmpl, reserved = struct.unpack('<64sI28s', ctypes.string_at(request, 96))
    assert reserved == bytes(28)
    if name == 'extended':
        address, length, padding = struct.unpack('<QI4s', ctypes.string_at(request + 96, 16))
        assert length % 4096 == 0 and length <= 0x4000 and address % 4096 == 0 and padding == bytes(4)
        table = base64.b64decode(device.get('certificates', ''))
        ctypes.memmove(address, table, len(table))
    report = bytearray(base64.b64decode(device['report']))
    report[80:144] = data
    report[48:52] = struct.pack('<I', vmpl)
    ctypes.memmove(response, struct.pack('<II24x', device.get('status', 0), len(report)) + report, 32 + len(report))
    return 0

class FakeSocket:
    def __init__(self, family, kind):
        assert (family, kind) == (socket.AF_VSOCK, socket.SOCK_STREAM)
        self.answer = b''
    def __enter__(self):
        return self
    def __exit__(self, *_):
        return False
    def settimeout(self, seconds):
        assert seconds > 0
    def connect(self, address):
        if list(address) != wanted['service']['address']:
            fail('ECONNREFUSED')
    def sendall(self, message):
        length, major, minor, kind, size, code, report, ids = struct.unpack('>I', message[:4]) + struct.unpack('<HHIIIII', message[4:28])
        assert (length, major, kind, code, report, ids) == (len(message) - 4, 1, 0, 0, 1024, 0) and size == length and len(message) == 28 + 1024
        service = wanted['service']
        if minor != service.get('minor', 1):
            body = b''
            code = 0x12006
        else:
            quote = bytearray(base64.b64decode(service['quote']))
            quote[48 + 520:48 + 584] = message[28 + 128:28 + 192]
            body = struct.pack('<II', 0, len(quote)) + quote
        self.answer = struct.pack('>I', 16 + len(body)) + struct.pack('<HHIII', 1, service.get('minor', 1), 1, 16 + len(body), code) + body
        self.answer = self.answer[:service.get('cut', len(self.answer))]
    def recv(self, count):
        # As streams do: in pieces.
        piece, self.answer = self.answer[:min(count, 1000)], self.answer[min(count, 1000):]
        return piece

os.open, fcntl.ioctl, socket.socket = fake_open, fake_ioctl, FakeSocket
