import assert from 'node:assert/strict';
import type { Request, Response } from 'express';
import { ContactError } from '../../../lib/core/errors';
import { adminRoute } from '../../../lib/red/admin';
import { type HttpHandler, httpRoute } from '../../../lib/red/http';
import type { Red } from '../../../lib/red/node';
import { registerNode } from '../../../lib/red/register';
import { type Runtime, startRuntime } from '../../nodes/helper';

describe('routes', () => {
  let runtime: Runtime;
  const FLOW = [
    { id: 'tab', type: 'tab', label: 'Tab' },
    { id: 'tested', type: 'test-node', z: 'tab', name: '', wires: [] },
  ];
  const node = (RED: Red) => registerNode(RED, 'test-node', () => {});
  const post = (path: string, body: unknown) =>
    fetch(`${runtime.adminUrl}${path}`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify(body),
    });

  afterEach(() => runtime.stop());

  describe('for the public', () => {
    const open = async (handler: HttpHandler) => {
      runtime = await startRuntime([node, (RED) => httpRoute(RED, 'get', '/tested', handler)], FLOW);
      return fetch(`${runtime.url}/tested`);
    };

    it('are registered once for each runtime, however many modules ask', async () => {
      let calls = 0;
      const module = (RED: Red) =>
        httpRoute(RED, 'get', '/counted', (_request, _response, next) => {
          calls += 1;
          next();
        });
      for (let round = 1; round <= 2; round++) {
        runtime = await startRuntime([node, module, module], FLOW);
        assert.equal((await fetch(`${runtime.url}/counted`)).status, 404);
        assert.equal(calls, round);
        if (round === 1) await runtime.stop();
      }
    });

    for (const [code, status] of [
      ['INVALID_INPUT', 400],
      ['NOT_FOUND', 404],
      ['UNREACHABLE', 503],
    ] as const) {
      it(`answer ${status} with code and message for ${code}`, async () => {
        const response = await open(async () => {
          throw new ContactError(code, { attempted: 'find it with Bearer abcdefghijk' });
        });
        assert.equal(response.status, status);
        const body = (await response.json()) as { ok: boolean; code: string; message: string };
        assert.deepEqual([body.ok, body.code], [false, code]);
        assert.match(body.message, /Could not find it with Bearer \*\*\*/);
      });
    }

    it('answer 500 when a handler throws something unexpected at once', async () => {
      const response = await open(() => {
        throw new TypeError('x is undefined');
      });
      assert.equal(response.status, 500);
      assert.equal(((await response.json()) as { code: string }).code, 'INTERNAL');
    });

    it('cut the answer off when a handler fails in the middle of it', async () => {
      const failing: HttpHandler = async (_request, response: Response) => {
        response.write('half');
        throw new Error('no more');
      };
      await assert.rejects(async () => (await open(failing)).text());
    });
  });

  describe('for the editor', () => {
    const open = async (handler: (request: Request) => unknown) => {
      const route = (RED: Red) =>
        adminRoute(RED, { method: 'post', path: '/contact-center/test', permission: 'test-node.write', handler });
      runtime = await startRuntime([node, route, route], FLOW);
    };

    it('answer with what the handler gives', async () => {
      await open(async (request) => ({ ok: true, given: request.body }));
      const response = await post('/contact-center/test', { address: 'a' });
      assert.equal(response.status, 200);
      assert.deepEqual(await response.json(), { ok: true, given: { address: 'a' } });
    });

    it('answer 200 with the reason when something does not work, so that the dialog can show it', async () => {
      await open(() => {
        throw new ContactError('REFUSED', { attempted: 'log in', answer: 'wrong password=hunter22' });
      });
      const response = await post('/contact-center/test', {});
      assert.equal(response.status, 200);
      const body = (await response.json()) as { ok: boolean; code: string; message: string };
      assert.deepEqual([body.ok, body.code], [false, 'REFUSED']);
      assert.match(body.message, /Could not log in/);
      assert.doesNotMatch(body.message, /hunter22/);
    });

    it('answer 500 for a defect', async () => {
      await open(() => {
        throw new TypeError('x is undefined');
      });
      assert.equal((await post('/contact-center/test', {})).status, 500);
    });

    it('ask the runtime for the permission', async () => {
      const asked: string[] = [];
      runtime = await startRuntime(
        [
          (RED) => {
            const { needsPermission } = RED.auth;
            RED.auth.needsPermission = (permission) => {
              asked.push(permission);
              return (_request, response) => response.status(403).end();
            };
            try {
              adminRoute(RED, {
                method: 'get',
                path: '/contact-center/secret',
                permission: 'test-node.read',
                handler: () => ({ ok: true }),
              });
            } finally {
              RED.auth.needsPermission = needsPermission;
            }
          },
          node,
        ],
        FLOW,
      );
      assert.deepEqual(asked, ['test-node.read']);
      assert.equal((await fetch(`${runtime.adminUrl}/contact-center/secret`)).status, 403);
    });
  });
});
