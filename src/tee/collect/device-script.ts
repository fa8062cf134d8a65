// The one program that makes ioctls for us: Node has none, and every Linux that is old enough to lack configfs-tsm has Python.
// A fixed text, run isolated from environment, user and site packages; it asks a device and prints bytes, and judges nothing.
// Structures and numbers are those of the kernel's include/uapi/linux/sev-guest.h and tdx-guest.h.
import { fromHex } from '../../core/bytes.ts';
import type { RunTool } from './run-tool.ts';
import { collectFailed } from './failure.ts';

const PYTHON = 'python3';
const MAX_OUTPUT_BYTES = 1024 * 1024;

/**
 * Commands: `sev-guest HEX VMPL` (report data of 64 bytes; prints the response of the firmware, 4000 bytes, and the host's
 * certificate table), `tdx-report HEX` (prints the TDREPORT, 1024 bytes), `vsock CID PORT SECONDS HEX` (sends the bytes, prints
 * one answer with its length of four bytes in front). Bytes are printed in hexadecimal, one value a line; a failed step prints
 * `error STEP ERRNO` and nothing else.
 */
export const DEVICE_SCRIPT = `
import ctypes, errno, fcntl, mmap, os, socket, struct, sys

SNP_GET_REPORT, SNP_GET_EXT_REPORT = 0xc0205300, 0xc0205302
TDX_GET_REPORT0 = 0xc4405401
CERTIFICATES = 0x4000
MAX_ANSWER = 0x20000

def snp_request(device, command, request):
    response = ctypes.create_string_buffer(4000)
    argument = bytearray(struct.pack('<B7xQQQ', 1, ctypes.addressof(request), ctypes.addressof(response), 0))
    fcntl.ioctl(device, command, argument, True)
    return response.raw

def sev_guest(data, vmpl):
    device = os.open('/dev/sev-guest', os.O_RDWR)
    plain = struct.pack('<64sI28x', data, int(vmpl))
    table = (ctypes.c_char * CERTIFICATES).from_buffer(mmap.mmap(-1, CERTIFICATES))
    request = ctypes.create_string_buffer(plain + struct.pack('<QI4x', ctypes.addressof(table), CERTIFICATES), 112)
    try:
        return [snp_request(device, SNP_GET_EXT_REPORT, request), table.raw]
    except OSError:
        # The host has no table, or a larger one: the report alone.
        return [snp_request(device, SNP_GET_REPORT, ctypes.create_string_buffer(plain, 96)), b'']

def tdx_report(data):
    device = os.open('/dev/tdx_guest', os.O_RDWR)
    argument = bytearray(data + bytes(1024))
    fcntl.ioctl(device, TDX_GET_REPORT0, argument, True)
    return [bytes(argument[64:])]

def exactly(connection, count):
    received = b''
    while len(received) < count:
        more = connection.recv(count - len(received))
        if not more:
            raise OSError(errno.ECONNRESET, 'closed')
        received += more
    return received

def vsock(cid, port, seconds, message):
    with socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM) as connection:
        connection.settimeout(float(seconds))
        connection.connect((int(cid), int(port)))
        connection.sendall(message)
        head = exactly(connection, 4)
        length = struct.unpack('>I', head)[0]
        if length > MAX_ANSWER:
            raise OSError(errno.EMSGSIZE, 'too long')
        return [head + exactly(connection, length)]

step, arguments = sys.argv[1], sys.argv[2:]
try:
    if step == 'sev-guest':
        lines = sev_guest(bytes.fromhex(arguments[0]), arguments[1])
    elif step == 'tdx-report':
        lines = tdx_report(bytes.fromhex(arguments[0]))
    else:
        lines = vsock(arguments[0], arguments[1], arguments[2], bytes.fromhex(arguments[3]))
    for line in lines:
        print(line.hex())
except TimeoutError:
    print('error', step, 'ETIMEDOUT')
except OSError as failure:
    print('error', step, errno.errorcode.get(failure.errno, 'EIO'))
except AttributeError:
    print('error', step, 'EAFNOSUPPORT')
`;

export type DeviceStep = 'sev-guest' | 'tdx-report' | 'vsock';

/** A step that failed with a code of the system, such as ENXIO. */
export class DeviceFailure extends Error {
  readonly code: string;

  constructor(step: DeviceStep, code: string) {
    super(`${step} failed: ${code}`);
    this.name = 'DeviceFailure';
    this.code = code;
  }
}

export interface DeviceLimits {
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Runs one step. Returns the values it printed. Throws DeviceFailure where the system refuses, ConfigError E_COLLECT where
 * there is no Python or it prints anything else.
 */
export async function askDevice(run: RunTool, [step, ...rest]: readonly [DeviceStep, ...string[]], limits: DeviceLimits): Promise<Uint8Array[]> {
  const output = await run(PYTHON, ['-I', '-S', '-c', DEVICE_SCRIPT, step, ...rest], { ...limits, maxBytes: MAX_OUTPUT_BYTES });
  if (output === null) throw collectFailed(`asking the device of the guest needs the program "${PYTHON}", and there is none`);
  const lines = Buffer.from(output.stdout).toString('latin1').split('\n').slice(0, -1);
  const [, failed, code] = /^error (\S+) ([A-Z0-9]{2,20})$/.exec(lines[0] ?? '') ?? [];
  if (code !== undefined && failed === step && lines.length === 1) throw new DeviceFailure(step, code);
  if (output.exitCode !== 0 || lines.length === 0 || lines.some((line) => !/^(?:[0-9a-f]{2})*$/.test(line))) {
    const said = output.stderr.trim().split('\n').at(-1)?.slice(0, 200).replace(/[^\x20-\x7e]/g, '?') ?? '';
    throw collectFailed(`${PYTHON} ended with code ${output.exitCode} and without what was asked (${step})${said === '' ? '' : `: ${said}`}`);
  }
  return lines.map(fromHex);
}
