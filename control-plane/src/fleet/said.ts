/**
 * What is kept of what nodes say. A node may be broken, or be somebody's who has its token: what it says is shown to
 * people, written to the store and held for a day, so it is cut to what a node that works would say.
 */
import { create } from '@bufbuild/protobuf';
import { type Timestamp, TimestampSchema } from '@bufbuild/protobuf/wkt';
import {
  type Acknowledgement,
  AcknowledgementSchema,
  ClientConnectionSchema,
  type ConnectionList,
  ConnectionListSchema,
  type Health,
  HealthSchema,
  type Hello,
  HelloSchema,
  kindWord,
  NodeState,
  type Position,
  PositionSchema,
  type Rejection,
  RejectionSchema,
  type ResourceKey,
  ResourceKeySchema,
  type TrialFigures,
  TrialFiguresSchema,
  type TrialHealth,
  TrialHealthSchema,
} from '@sluice/proto/cluster';

/** Longest reason of a refusal that is kept. */
const MAX_REASON_LENGTH = 4_096;
/** Longest text of anything else. */
const MAX_TEXT_LENGTH = 1_024;
/** Ids of stores are UUIDs, digests are SHA-256; whatever is longer is neither. */
const MAX_STORE_ID_LENGTH = 128;
const MAX_DIGEST_BYTES = 64;
/** What a timestamp may say: from the year 1 to 9999 (google/protobuf/timestamp.proto). Others have no JSON. */
const MIN_SECONDS = -62_135_596_800n;
const MAX_SECONDS = 253_402_300_799n;
const MAX_NANOS = 999_999_999;

export function saidHello({ $typeName, $unknown, position, ...hello }: Hello): Hello {
  const said = saidPosition(position);
  return create(HelloSchema, { ...hello, ...(said && { position: said }) });
}

export function saidAcknowledgement({
  $typeName,
  $unknown,
  position,
  rejection,
  ...acknowledgement
}: Acknowledgement): Acknowledgement {
  const said = saidPosition(position);
  return create(AcknowledgementSchema, {
    ...acknowledgement,
    ...(said && { position: said }),
    ...(rejection && { rejection: saidRejection(rejection) }),
  });
}

export function saidHealth({ $typeName, $unknown, position, time, state, trial, ...health }: Health): Health {
  const said = saidPosition(position);
  const saidAt = saidTime(time);
  return create(HealthSchema, {
    ...health,
    ...(trial && { trial: saidTrial(trial) }),
    ...(said && { position: said }),
    ...(saidAt && { time: saidAt }),
    state: NodeState[state] === undefined ? NodeState.UNSPECIFIED : state,
  });
}

export function saidConnections({
  $typeName,
  $unknown,
  connections,
  ...list
}: ConnectionList): ConnectionList {
  return create(ConnectionListSchema, {
    ...list,
    connections: connections.map(
      ({ $typeName: _type, $unknown: _unknown, began, lastUsed, ...connection }) => {
        const [saidBegan, saidUsed] = [saidTime(began), saidTime(lastUsed)];
        return create(ClientConnectionSchema, {
          ...connection,
          principal: saidText(connection.principal, MAX_TEXT_LENGTH),
          clientName: saidText(connection.clientName, MAX_TEXT_LENGTH),
          clientVersion: saidText(connection.clientVersion, MAX_TEXT_LENGTH),
          ...(saidBegan && { began: saidBegan }),
          ...(saidUsed && { lastUsed: saidUsed }),
        });
      },
    ),
  });
}

function saidTrial({
  position,
  principalsPercent,
  rejection,
  served,
  servedBeside,
  upstreamsFailedCount,
}: TrialHealth): TrialHealth {
  const said = saidPosition(position);
  return create(TrialHealthSchema, {
    principalsPercent,
    upstreamsFailedCount,
    ...(said && { position: said }),
    ...(rejection && { rejection: saidRejection(rejection) }),
    ...(served && { served: saidFigures(served) }),
    ...(servedBeside && { servedBeside: saidFigures(servedBeside) }),
  });
}

function saidFigures({ requestsTotal, errorsTotal, durationUsTotal }: TrialFigures): TrialFigures {
  return create(TrialFiguresSchema, { requestsTotal, errorsTotal, durationUsTotal });
}

function saidRejection({ resource, reason }: Rejection): Rejection {
  const key = resource && saidKey(resource);
  return create(RejectionSchema, {
    reason: saidText(reason, MAX_REASON_LENGTH),
    ...(key && { resource: key }),
  });
}

function saidKey({ kind, tenant, name }: ResourceKey): ResourceKey | undefined {
  if (kindWord(kind) === undefined) return undefined;
  return create(ResourceKeySchema, {
    kind,
    tenant: saidText(tenant, MAX_TEXT_LENGTH),
    name: saidText(name, MAX_TEXT_LENGTH),
  });
}

function saidPosition(position: Position | undefined): Position | undefined {
  if (position === undefined) return undefined;
  const { storeId, revision, digest } = position;
  if (storeId.length > MAX_STORE_ID_LENGTH || digest.length > MAX_DIGEST_BYTES) return undefined;
  return create(PositionSchema, { storeId, revision, digest });
}

function saidTime(time: Timestamp | undefined): Timestamp | undefined {
  if (time === undefined) return undefined;
  const { seconds, nanos } = time;
  const isTime = seconds >= MIN_SECONDS && seconds <= MAX_SECONDS && nanos >= 0 && nanos <= MAX_NANOS;
  return isTime ? create(TimestampSchema, { seconds, nanos }) : undefined;
}

/** No half of a surrogate pair is left at the end, which has no encoding. */
function saidText(text: string, maxLength: number): string {
  return text.length <= maxLength ? text : `${text.slice(0, maxLength - 1).replace(/[\ud800-\udbff]$/, '')}…`;
}
