import { create, fromBinary, toBinary, toJson } from '@bufbuild/protobuf';
import { BinaryWriter, WireType } from '@bufbuild/protobuf/wire';
import {
  AcknowledgementSchema,
  ConnectionListSchema,
  HealthSchema,
  HelloSchema,
  NodeState,
  ResourceKind,
  TrialFiguresSchema,
} from '@sluice/proto/cluster';
import { describe, expect, it } from 'vitest';
import { saidAcknowledgement, saidConnections, saidHealth, saidHello } from './said.js';

const MEGABYTE = 'x'.repeat(1024 * 1024);
const NEVER = { seconds: 1n << 62n, nanos: -1 };

/** A field that no version knows. */
const UNKNOWN = new BinaryWriter().tag(999, WireType.LengthDelimited).string(MEGABYTE).finish();

describe('what is kept of what nodes say', () => {
  it('keeps of a trial what a node that works would say of it', () => {
    const trial = {
      position: { storeId: MEGABYTE, revision: 1n },
      rejection: { reason: MEGABYTE },
      served: { requestsTotal: 1n },
    };
    const said = saidHealth(create(HealthSchema, { trial }));
    expect(said.trial?.position).toBeUndefined();
    expect(toBinary(HealthSchema, said).length).toBeLessThan(5_000);
    const grown = Buffer.concat([toBinary(TrialFiguresSchema, create(TrialFiguresSchema)), UNKNOWN]);
    const served = fromBinary(TrialFiguresSchema, grown);
    expect(
      toBinary(HealthSchema, saidHealth(create(HealthSchema, { trial: { served } }))).length,
    ).toBeLessThan(100);
  });

  it('leaves alone what a node says that works', () => {
    const position = { storeId: '0f3c', revision: 7n, digest: new Uint8Array(32).fill(3) };
    const hello = create(HelloSchema, { node: 'n1', incarnation: 'first', version: '1', position });
    expect(saidHello(hello)).toEqual(hello);
    const health = create(HealthSchema, {
      ...{ node: 'n1', incarnation: 'first', position, state: NodeState.READY, requestsTotal: 9n },
      time: { seconds: 1_700_000_000n, nanos: 5 },
    });
    expect(saidHealth(health)).toEqual(health);
    const figures = { requestsTotal: 9n, errorsTotal: 1n, durationUsTotal: 5n };
    const tried = create(HealthSchema, {
      trial: {
        position,
        principalsPercent: 5,
        served: figures,
        servedBeside: figures,
        upstreamsFailedCount: 1,
      },
    });
    expect(saidHealth(tried)).toEqual(tried);
    const resource = { kind: ResourceKind.UPSTREAM, tenant: 'acme', name: 'files' };
    const acknowledgement = create(AcknowledgementSchema, {
      ...{ node: 'n1', incarnation: 'first', position },
      rejection: { resource, reason: 'line one\nline two' },
    });
    expect(saidAcknowledgement(acknowledgement)).toEqual(acknowledgement);
    const list = create(ConnectionListSchema, {
      ...{ node: 'n1', incarnation: 'first', request: 'r', nextCursor: 'c' },
      connections: [{ id: '1', principal: 'ann', began: { seconds: 1n, nanos: 0 } }],
    });
    expect(saidConnections(list)).toEqual(list);
  });

  it('keeps a reason short, and whole characters of it', () => {
    const said = saidAcknowledgement(
      create(AcknowledgementSchema, { rejection: { reason: '\u{1f600}'.repeat(100_000) } }),
    );
    expect(said.rejection?.reason.length).toBeLessThanOrEqual(4_096);
    expect(said.rejection?.reason).toMatch(/^\u{1f600}+…$/u);
  });

  it('keeps nothing that is no position, no time, no state, and no resource', () => {
    const position = { storeId: MEGABYTE, digest: new Uint8Array(1_000_000) };
    const health = saidHealth(create(HealthSchema, { position, time: NEVER, state: 77 as NodeState }));
    expect(health.position).toBeUndefined();
    expect(health.state).toBe(NodeState.UNSPECIFIED);
    expect(toJson(HealthSchema, health)).toEqual({});
    const { rejection } = saidAcknowledgement(
      create(AcknowledgementSchema, {
        rejection: { resource: { kind: 999 as ResourceKind, name: MEGABYTE }, reason: 'no' },
      }),
    );
    expect(rejection).toEqual(expect.objectContaining({ reason: 'no' }));
    expect(rejection?.resource).toBeUndefined();
    const list = saidConnections(
      create(ConnectionListSchema, { connections: [{ id: '1', began: NEVER, clientName: MEGABYTE }] }),
    );
    expect(JSON.stringify(toJson(ConnectionListSchema, list)).length).toBeLessThan(2_000);
  });

  it('keeps no field that it does not know', () => {
    const hello = fromBinary(HelloSchema, UNKNOWN);
    expect(toBinary(HelloSchema, hello).length).toBeGreaterThan(1_000_000);
    expect(toBinary(HelloSchema, saidHello(hello)).length).toBe(0);
  });
});
